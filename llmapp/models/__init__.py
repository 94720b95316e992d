"""Chat models: backends by name, and the offline extractive one; knows nothing of prices, retrieval or templates."""
