"""A run of the experiments: its folder, what each piece was made from and cost, and where the pieces run."""
