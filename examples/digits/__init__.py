"""A small problem: handwritten digits (the data that scikit-learn ships), and a network of scikit-learn."""
