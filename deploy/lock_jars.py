"""Print the jars that the embedded broker runs from, with their hashes: ``worker/broker_jars.txt``.

Asks jgo for Kafka and everything that it needs at run time, fetches them, and hashes them.
"""

from __future__ import annotations

import hashlib

import jgo

KAFKA_VERSION = "4.3.0"
ENDPOINTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")


def main() -> None:
    """Resolve, fetch, hash, print."""
    artifacts = {artifact.key: artifact for endpoint in ENDPOINTS for artifact in jgo.resolve(endpoint)}
    print("# Made by deploy/lock_jars.py: group:artifact:version sha256")
    for artifact in sorted(artifacts.values(), key=str):
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        print(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {digest}")


if __name__ == "__main__":
    main()
