"""Tables in, training examples out. Knows neither pipelines nor models."""
