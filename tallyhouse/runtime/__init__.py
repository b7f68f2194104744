"""What every process of the program needs: settings, clocks, logs, metrics, HTTP server, child processes."""
