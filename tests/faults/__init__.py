"""What happens when the network, the servers or the disk fail; on real servers."""
