"""Several recipes, several seeds, one comparison."""
