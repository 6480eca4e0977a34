"""Commands that work on a connection alone (`wire.front`, `wire.session`): node, sentinel and proxy share them."""
