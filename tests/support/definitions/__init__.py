"""What the project defines, read from its files, modules and syntax trees."""
