package pipeline

import (
	"slices"
	"sync"
	"testing"
)

// A seed of the first source goes before all others, whose sources take turns
// however much each of them has, and however many goroutines take.
func TestTurns(t *testing.T) {
	var next turns
	var senders sync.WaitGroup
	send := func(names ...string) <-chan Delivery {
		source := make(chan Delivery)
		senders.Go(func() {
			defer close(source)
			for _, name := range names {
				source <- Delivery{Seed: Seed{Brand: name}}
			}
		})
		return source
	}
	next.first = append(next.first, send("person", "person"))
	next.others = append(next.others, send("kafka", "kafka", "kafka", "kafka", "kafka"), send("queue", "queue"), send())
	var got []string
	for d, more := next.take(); more; d, more = next.take() {
		got = append(got, d.Seed.Brand)
	}
	senders.Wait()
	slices.Sort(got)
	if !slices.Equal(got, []string{"kafka", "kafka", "kafka", "kafka", "kafka", "person", "person", "queue", "queue"}) {
		t.Errorf("taken %v", got)
	}
	if _, more := next.take(); more {
		t.Error("more than there is")
	}
}

// With all sources ready at each turn the order is certain.
func TestTurnsAreFair(t *testing.T) {
	ready := func(name string, n int) <-chan Delivery {
		source := make(chan Delivery, n)
		for range n {
			source <- Delivery{Seed: Seed{Brand: name}}
		}
		close(source)
		return source
	}
	next := turns{first: []<-chan Delivery{ready("person", 2)}, others: []<-chan Delivery{ready("kafka", 4), ready("queue", 2)}}
	var got []string
	for d, more := next.take(); more; d, more = next.take() {
		got = append(got, d.Seed.Brand)
	}
	if want := []string{"person", "person", "kafka", "queue", "kafka", "queue", "kafka", "kafka"}; !slices.Equal(got, want) {
		t.Errorf("taken %v, want %v", got, want)
	}
}
