"""What a recipe would cost at real size, worked out without weights, data or a GPU."""
