"""Parts that associators are composed of: Kalman filters, similarities, assignment, life cycle, motion, appearance."""
