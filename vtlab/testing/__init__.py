"""What anybody can test a part with, their own above all: contracts, small scenes, seeded networks."""
