"""How much memory the data take, which keys go when that is too much, and how large values go without a pause."""
