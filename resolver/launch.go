package resolver

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"time"
)

// write sends what is in line.
func (f *flow) write() {
	for {
		select {
		case <-f.kick:
		case <-f.done:
			return
		}
		for {
			// Let everybody who is about to ask something do so first: else each
			// batch has one packet.
			runtime.Gosched()
			s := f.fill()
			if s == nil {
				break
			}
			if err := s.wire.send(&f.out); err != nil {
				f.unreachable(s)
			}
		}
	}
}

// fill moves queries from the line to the outbox and returns the socket that
// they go through; nil, and the writer is idle, when there is nothing to send.
func (f *flow) fill() *socket {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.reset()
	now := f.tick()
	s := f.chooseSocket(now)
	n := 0
	if s != nil {
		n = min(f.room()-f.inFlight, maxBatch, s.wire.capacity()-s.inFlight, f.again.n+f.fresh.n)
		n = f.pace.take(f.window.allow(now, n))
	}
	for n > 0 {
		q := f.again.first
		if q == nil {
			q = f.fresh.first
		}
		if q == nil {
			break
		}
		if err := q.ctx.Err(); err != nil {
			f.end(q, err)
			continue
		}
		f.launch(q, s, now)
		n--
	}
	if f.out.n == 0 {
		f.idle = true
		if f.again.n+f.fresh.n > 0 {
			f.watch.notify() // it looks again
		}
		return nil
	}
	return s
}

// launch gives q an ID and puts it into the table and the outbox.
func (f *flow) launch(q *query, s *socket, now time.Duration) {
	q.leave()
	bits := f.random.Uint64()
	id := uint16(bits)
	for f.table[id] != nil { // in the table are at most a few times maxWindow of 65,536
		id = uint16(f.random.Uint64())
	}
	binary.BigEndian.PutUint16(q.packet, id)
	if q.mixed {
		mixCase(q.packet[headerLen:q.end-4], bits>>16, f.random)
	}
	if !f.asked {
		f.asked, f.quiet = true, now
	}
	if f.inFlight == 0 {
		f.watch.notify()
	}
	q.sent, q.socket = now, s
	f.table[id] = q
	if q.fixed {
		f.fixed.push(q)
	} else {
		f.waiting[min(q.try, patienceSteps-1)].push(q)
	}
	f.inFlight++
	s.inFlight++
	s.expected++
	s.sent++
	f.meter.inFlight.Add(1)
	f.meter.query(q.kind)
	f.out.add(q.packet)
}

// mixCase gives each letter a random case (draft-vixie-dnsext-dns0x20): what an
// attacker has to guess besides the ID. bits holds 48 random bits.
func mixCase(name []byte, bits uint64, more *rand.ChaCha8) {
	left := 48
	for i, c := range name {
		if c|0x20 < 'a' || c|0x20 > 'z' { // the length of a label is below 'A'
			continue
		}
		if left == 0 {
			bits, left = more.Uint64(), 64
		}
		name[i] = c&^0x20 | byte(bits&1)<<5
		bits >>= 1
		left--
	}
}
