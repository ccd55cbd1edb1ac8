"""What the lab `health` is made of: a place, servers that can be made ill, and what is looked at."""
