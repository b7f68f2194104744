"""What is deployed, held to what there is."""
