"""Association: parts (Kalman filters, similarities, assignment, life cycle) and methods composed of them."""
