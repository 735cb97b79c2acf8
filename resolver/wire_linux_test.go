//go:build !portable

package resolver

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datagrams of one length that the kernel hands over as one message come apart
// again, a shorter last one and a lone one too.
func TestMergedDatagramsComeApart(t *testing.T) {
	peer, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	w, err := new(wiring).dialBatch(peer.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.receive(func(batch [][]byte) {
			for _, b := range batch {
				got = append(got, string(b))
			}
			if slices.Contains(got, "end") {
				w.close()
			}
		}, func(err error) { t.Error(err) })
	}()
	to := w.(*batchWire).conn.LocalAddr().(*net.UDPAddr)
	message := strings.Repeat("a", 100) + strings.Repeat("b", 100) + strings.Repeat("c", 30)
	cut := make([]byte, unix.CmsgSpace(2))
	header := (*unix.Cmsghdr)(unsafe.Pointer(&cut[0]))
	header.Level, header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	header.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(cut[unix.CmsgLen(0):], 100)
	for _, m := range []struct{ text, control string }{{message, string(cut)}, {"alone", ""}, {message, string(cut)}, {"end", ""}} {
		if _, _, err := peer.WriteMsgUDP([]byte(m.text), []byte(m.control), to); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	three := []string{message[:100], message[100:200], message[200:]}
	if want := slices.Concat(three, []string{"alone"}, three, []string{"end"}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
