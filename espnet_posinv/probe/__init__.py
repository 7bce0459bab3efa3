"""Studies of a frozen encoder: is its loss positional, and what are its features good for?"""
