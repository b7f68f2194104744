"""What a person sees when the cluster is up: where everything is, the first key, and commands to try."""

from tallyhouse.local.cluster import LocalCluster
from tallyhouse.welcome import quickstart_commands


def cluster_welcome(cluster: LocalCluster, now: int) -> str:
    """Copy, paste, and it works."""
    settings, folder = cluster.settings, cluster.folder
    places = {
        "gateways": " ".join(cluster.gateway_urls),
        "workers": " ".join(f"{url}/metrics" for url in cluster.worker_urls),
        "Kafka": f"{','.join(settings.kafka_brokers)}, topic {settings.kafka_topic}",
        "ClickHouse": f"{','.join(settings.clickhouse_url)}, database {settings.clickhouse_database}",
        "ledger": cluster.ledger,
        "logs": folder.logs,
    }
    return "\n".join(
        [
            f"\nA cluster is counting at {cluster.gateway_urls[0]}, data in {folder.path}\n",
            *(f"  {what:<10}  {where}" for what, where in places.items()),
            quickstart_commands(
                settings, cluster.gateway_urls[0], folder.key_file, cluster.key if cluster.created_key else None, now
            ),
            "Ctrl-C stops all of it; the next start goes on where it stopped.",
        ]
    )
