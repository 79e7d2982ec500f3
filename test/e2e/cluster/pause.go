// What holds a pod's namespaces open: waits for a signal to end. Containers' orphans are reaped by the node's process 1, not here.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
}
