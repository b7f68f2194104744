"""What every process of the program needs: settings, logs, metrics, HTTP server, child processes."""
