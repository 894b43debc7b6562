"""What nobody owns and what is damaged: collecting the one, finding the other."""
