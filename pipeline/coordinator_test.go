package pipeline

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// aDay is longer than any test: who waits that long fails it.
func aDay(c *KafkaSourceConfig) { c.RetryDelay = 24 * time.Hour }

// A new cluster has no coordinator until it has made the topic of the groups'
// offsets. That takes a moment, not the time between attempts to reach a broker.
func TestKafkaSourceOfANewCluster(t *testing.T) {
	b := newBroker(t, 1)
	var asked atomic.Int32
	b.cluster.ControlKey(kmsg.FindCoordinator.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if asked.Add(1) > 3 {
			return nil, nil, false
		}
		return noCoordinator(request), nil, true
	})
	b.produce(0, submission("a.com"))
	r := b.runWith(t, aDay)
	r.next().Done(nil)
	r.stop()
	if got := b.committed(0); got != 1 {
		t.Errorf("offset %d committed, want 1", got)
	}
}

// noCoordinator is the answer of a cluster that has to choose one yet.
func noCoordinator(request kmsg.Request) kmsg.Response {
	response := request.ResponseKind().(*kmsg.FindCoordinatorResponse)
	response.ErrorCode, response.NodeID = 15, -1 // COORDINATOR_NOT_AVAILABLE
	return response
}

// A coordinator that goes away and comes back finds the member that it had: with
// the id of before, its partition and the seed that is in work.
func TestKafkaSourceKeepsItsMembership(t *testing.T) {
	b := newBroker(t, 1)
	var mu sync.Mutex
	var members []string // of the requests to join
	away := 0            // requests that the coordinator still refuses
	refuse := func() bool {
		mu.Lock()
		defer mu.Unlock()
		away--
		return away >= 0
	}
	b.cluster.ControlKey(kmsg.JoinGroup.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		mu.Lock()
		members = append(members, request.(*kmsg.JoinGroupRequest).MemberID)
		mu.Unlock()
		if !refuse() {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.JoinGroupResponse)
		response.ErrorCode = 16 // NOT_COORDINATOR
		return response, nil, true
	})
	b.cluster.ControlKey(kmsg.Heartbeat.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if !refuse() {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.HeartbeatResponse)
		response.ErrorCode = 16
		return response, nil, true
	})
	b.produce(0, submission("long.com"))
	r := b.runWith(t, aDay)
	long := r.next()
	mu.Lock()
	first := len(members)
	away = 4
	mu.Unlock()
	eventually(t, "the source joins again", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(members) > first
	})
	b.produce(0, submission("next.com"))
	if d := r.next(); d.Seed.FQDN != "next.com" {
		t.Errorf("delivered %s, want next.com", d.Seed.FQDN)
	} else {
		d.Done(nil)
	}
	if long.Context.Err() != nil {
		t.Error("the seed in work was taken away")
	}
	long.Done(nil)
	eventually(t, "both committed", func() bool { return b.committed(0) == 2 })
	mu.Lock()
	if slices.Contains(members[first:], "") {
		t.Errorf("joined as somebody new: %q", members)
	}
	mu.Unlock()
	r.stop()
}

// A membership that was forgotten because the coordinator refused to join is
// ended, so that the group does not wait for it.
func TestKafkaSourceLeavesWhatItForgot(t *testing.T) {
	b := newBroker(t, 1)
	var refused, beaten atomic.Bool
	b.cluster.ControlKey(kmsg.JoinGroup.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if request.(*kmsg.JoinGroupRequest).MemberID == "" || refused.Swap(true) {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.JoinGroupResponse)
		response.ErrorCode = 16
		return response, nil, true
	})
	b.produce(0, submission("a.com"))
	r := b.runWith(t, func(c *KafkaSourceConfig) { c.SessionTimeout = 5 * time.Minute }) // beyond patience, and so is a third of it
	r.next().Done(nil)
	b.cluster.ControlKey(kmsg.Heartbeat.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if beaten.Swap(true) {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.HeartbeatResponse)
		response.ErrorCode = 27 // REBALANCE_IN_PROGRESS
		return response, nil, true
	})
	eventually(t, "the join was refused", refused.Load)
	b.produce(0, submission("b.com"))
	r.next().Done(nil)
	r.stop()
	if n := b.members(); n != 0 {
		t.Errorf("%d members left in the group", n)
	}
}
