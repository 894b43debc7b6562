"""What tests share: servers, proxies, waiting, programs that are killed or interrupted."""
