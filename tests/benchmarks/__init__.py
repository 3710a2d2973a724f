"""What claims about speed and memory rest on. Not tests: they measure, and assert nothing about the clock."""
