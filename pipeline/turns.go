package pipeline

import (
	"reflect"
	"slices"
	"sync"
)

// turns takes seeds from several sources: from the first ones before the others,
// which take turns, so that a source with a long backlog does not keep the others
// waiting. A seed stays with its source until it is taken. Safe for concurrent
// use.
type turns struct {
	mu            sync.Mutex
	first, others []<-chan Delivery // a source that has ended has closed its own
}

// take waits for the next seed; false when all sources have ended.
func (t *turns) take() (Delivery, bool) {
	t.mu.Lock() // held while it waits: whoever else waits is behind it
	defer t.mu.Unlock()
	for {
		if d, ok := ready(&t.first, false); ok {
			return d, true
		}
		if d, ok := ready(&t.others, true); ok {
			return d, true
		}
		all := slices.Concat(t.first, t.others)
		if len(all) == 0 {
			return Delivery{}, false
		}
		cases := make([]reflect.SelectCase, len(all))
		for i, source := range all {
			cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(source)}
		}
		i, value, open := reflect.Select(cases)
		if open {
			t.others = behind(t.others, all[i])
			return value.Interface().(Delivery), true
		}
		// ready takes out the one that has ended
	}
}

// ready is a seed that a source offers now. Sources that have ended are taken
// out. With turns the one that it comes from goes behind the rest.
func ready(sources *[]<-chan Delivery, turns bool) (Delivery, bool) {
	for i := 0; i < len(*sources); {
		source := (*sources)[i]
		select {
		case d, open := <-source:
			if !open {
				*sources = slices.Delete(*sources, i, i+1)
				continue
			}
			if turns {
				*sources = behind(*sources, source)
			}
			return d, true
		default:
			i++
		}
	}
	return Delivery{}, false
}

// behind puts one of the sources at the end, if it is among them.
func behind(sources []<-chan Delivery, last <-chan Delivery) []<-chan Delivery {
	if i := slices.Index(sources, last); i >= 0 {
		return append(slices.Delete(sources, i, i+1), last)
	}
	return sources
}
