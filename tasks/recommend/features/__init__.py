"""What movies are compared by: features of the index rows, and the models that compute them."""
