"""What every stage uses: contracts, configuration base, compute, processes, progress, retries."""
