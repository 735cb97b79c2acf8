package emitter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// outbox collects the batches that are ready for one broker at the same moment:
// they travel in one produce request. What a request costs the broker, and what
// the fetches of its followers cost after it, hardly depends on how many
// partitions it is for. No batch waits for another to become ready, nor for an
// earlier request to be answered.
//
// The answer comes when the slowest of the request's partitions is replicated; who
// finds that a request hangs may leave it, and send its batch alone.
type outbox struct {
	links *links
	addr  string
	ctx   context.Context // of making connections
	under *sync.WaitGroup // goroutines

	mu      sync.Mutex
	waiting []*parcel
	due     bool // a goroutine is about to take them
}

// parcel is a batch on its way to a broker.
type parcel struct {
	topic     string
	partition int
	wire      []byte
	alone     bool      // in a request of its own
	until     time.Time // someone waits for the answer

	done chan struct{} // closed when err is set
	err  error
	in   *shipment // outbox.mu guards it; nil as long as it waits
	lent bool      // its sender has left, and a request goes on that may read wire
}

// shipment is one produce request.
type shipment struct {
	parcels []*parcel
	begun   time.Time
	awaited int // parcels that someone still waits for; outbox.mu guards it
	cancel  context.CancelFunc
}

// requestBytes bounds the batches of a request that has more than one. Brokers
// take requests of up to 100 MiB (socket.request.max.bytes).
const requestBytes = 16 << 20

// produce sends a batch and returns nil if all in-sync replicas have it, Kafka's
// refusal as a kafka.Error, or the error of the way: an *unsentError if the
// broker cannot have acted on it. When ctx ends, the request goes on as long as
// someone waits for another of its batches.
func (o *outbox) produce(ctx context.Context, p *parcel) error {
	p.done = make(chan struct{})
	p.until, _ = ctx.Deadline()
	o.mu.Lock()
	o.waiting = append(o.waiting, p)
	if !o.due {
		o.due = true
		o.under.Go(o.send)
	}
	o.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return o.leave(p, ctx.Err())
	}
}

// leave gives up waiting for a parcel. A request that nobody waits for ends, and
// then what became of it is known better.
func (o *outbox) leave(p *parcel, cause error) error {
	o.mu.Lock()
	select {
	case <-p.done: // it came just before the end
		o.mu.Unlock()
		return p.err
	default:
	}
	if p.in == nil {
		o.waiting = slices.DeleteFunc(o.waiting, func(w *parcel) bool { return w == p })
		o.mu.Unlock()
		return &unsentError{cause}
	}
	p.in.awaited--
	p.lent = p.in.awaited > 0
	o.mu.Unlock()
	if p.lent {
		return cause
	}
	p.in.cancel()
	<-p.done
	_, refused := errors.AsType[kafka.Error](p.err)
	switch {
	case p.err == nil || refused: // likewise
		return p.err
	case unsent(p.err):
		return &unsentError{cause}
	}
	return cause
}

// hangs tells whether the parcel has been in a request with others for so long
// that another of them may be what takes its time.
func (o *outbox) hangs(p *parcel) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return p.in != nil && len(p.in.parcels) > 1 && time.Since(p.in.begun) > hungAfter-longPause
}

// send sends what waits when there is a connection to send it on.
func (o *outbox) send() {
	// Partitions whose answers came together are ready together, or will be as
	// soon as they have had their turn.
	runtime.Gosched()
	runtime.Gosched()
	for {
		c, err := o.links.get(o.ctx, o.addr)
		if err != nil {
			o.fail(&unsentError{err})
			return
		}
		ctx, s, more := o.take()
		switch {
		case s == nil:
			o.links.put(c)
			return
		case !more:
			o.request(ctx, c, s)
			return
		}
		o.under.Go(func() { o.request(ctx, c, s) })
	}
}

// fail tells all who wait that there is no way to the broker.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.waiting {
		p.err = err
		close(p.done)
	}
	o.waiting, o.due = nil, false
}

// take makes a shipment of what waits; nil if that is nothing. more tells that
// something is left for the caller to take.
func (o *outbox) take() (ctx context.Context, s *shipment, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, size := 0, 0
	for _, p := range o.waiting {
		if size += len(p.wire); n > 0 && (size > requestBytes || p.alone || o.waiting[0].alone) {
			break
		}
		n++
	}
	if n == 0 {
		o.due = false
		return nil, nil, false
	}
	s = &shipment{parcels: slices.Clone(o.waiting[:n]), begun: time.Now(), awaited: n}
	o.waiting = slices.Delete(o.waiting, 0, n)
	for _, p := range s.parcels {
		p.in = s
	}
	ctx, s.cancel = context.WithCancel(context.Background()) // whoever waits has a deadline
	o.due = len(o.waiting) > 0
	return ctx, s, o.due
}

// request sends a shipment and tells each parcel what Kafka answered.
func (o *outbox) request(ctx context.Context, c *link, s *shipment) {
	defer s.cancel()
	res, err := o.links.exchange(ctx, c, s.message())
	var answers map[topicPartition]error
	if err == nil {
		answers = answersOf(res.(*produce.Response)) // the type of every answer to this request
	}
	for _, p := range s.parcels {
		code, answered := answers[topicPartition{p.topic, p.partition}]
		switch {
		case err != nil:
			p.err = err
		case !answered:
			p.err = fmt.Errorf("broker %s did not answer for partition %d of %s", o.addr, p.partition, p.topic)
		default:
			p.err = code
		}
		close(p.done)
	}
}

// message is the request. The broker may take as long as the most patient of
// those who wait.
func (s *shipment) message() *rawproduce.Request {
	req := &rawproduce.Request{Acks: int16(kafka.RequireAll)}
	at := map[string]int{}
	var until time.Time
	for _, p := range s.parcels {
		i, known := at[p.topic]
		if !known {
			i = len(req.Topics)
			at[p.topic] = i
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: p.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rawproduce.RequestPartition{
			Partition: int32(p.partition), RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(p.wire)},
		})
		if p.until.After(until) {
			until = p.until
		}
	}
	req.Timeout = int32(max(time.Until(until), 0).Milliseconds())
	return req
}

// topicPartition is a partition of a topic.
type topicPartition struct {
	topic     string
	partition int
}

// answersOf is what the broker says of each partition: nil is an acknowledgement.
func answersOf(res *produce.Response) map[topicPartition]error {
	out := map[topicPartition]error{}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			var err error
			if p.ErrorCode != 0 {
				err = kafka.Error(p.ErrorCode)
			}
			if err != nil && p.ErrorMessage != "" {
				err = fmt.Errorf("%w: %s", err, p.ErrorMessage)
			}
			out[topicPartition{t.Topic, int(p.Partition)}] = err
		}
	}
	return out
}
