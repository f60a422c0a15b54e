"""What readers are shown of a study: a self-contained page, made from run folders alone."""
