"""What a person runs: the command line, and clusters of real processes to start, look at and break."""
