"""What happens to a model that has passed: it is stored, promoted, rolled back."""
