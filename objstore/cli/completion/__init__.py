"""What the Tab key gives: the shells' side, and the words that can be meant."""
