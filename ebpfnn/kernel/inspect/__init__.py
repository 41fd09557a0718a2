"""What this kernel can do, and what is loaded in it."""
