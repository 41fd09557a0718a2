"""From a checked spec to the BPF object that defines ``ebpfnn_observe``; pure, the kernel is not asked."""
