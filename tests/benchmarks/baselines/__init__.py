"""What Keycard is measured against: each as its own documentation writes it, with no more than a benchmark needs."""
