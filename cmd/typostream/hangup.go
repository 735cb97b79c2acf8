package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup calls f at each SIGHUP, from now on until stop is called.
func onHangup(f func()) (stop func()) {
	hangups, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-hangups:
				f()
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(over)
		calls.Wait()
	}
}
