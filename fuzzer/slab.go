package fuzzer

import "strings"

// slabSize is how much of names is allocated at once: a name that is kept keeps
// no more than that in memory.
const slabSize = 512

// slab makes strings that share their memory with a few others.
type slab struct{ strings.Builder }

// text returns name as a string.
func (s *slab) text(name []byte) string {
	if s.Cap()-s.Len() < len(name) {
		s.Reset()
		s.Grow(slabSize)
	}
	start := s.Len()
	s.Write(name)
	return s.String()[start:]
}
