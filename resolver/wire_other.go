//go:build !linux || portable

package resolver

import (
	"errors"
	"net/netip"
	"syscall"
)

func (w *wiring) dial(addr netip.AddrPort) (wire, error) { return dialPlain(addr) }

// refusal reports whether err is what came back for an earlier datagram.
func refusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// passing reports whether err is over by itself, a full queue for example.
func passing(err error) bool { return errors.Is(err, syscall.ENOBUFS) }
