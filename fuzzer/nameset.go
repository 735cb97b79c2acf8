package fuzzer

import "hash/maphash"

// nameSet remembers names by 128-bit hashes: 16 octets a name, in 64 tables
// that grow one by one, so that no more than 40 octets a name are in use at
// any moment. The hash seeds are random, so nobody can choose names that collide.
type nameSet struct {
	seeds  [2]maphash.Seed
	shards [64]shard
	n      int
}

type shard struct {
	slots []nameKey
	n     int
}

func newNameSet() *nameSet {
	return &nameSet{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// add reports whether name is new.
func (s *nameSet) add(name []byte) bool {
	key := nameKey{maphash.Bytes(s.seeds[0], name), maphash.Bytes(s.seeds[1], name)}
	if key == (nameKey{}) {
		key[0] = 1 // the zero key marks a free slot
	}
	if !s.shards[key[0]>>58].add(key) {
		return false
	}
	s.n++
	return true
}

func (s *shard) add(key nameKey) bool {
	if 5*(s.n+1) > 4*len(s.slots) {
		s.grow()
	}
	for i := s.place(key[1]); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		switch s.slots[i] {
		case nameKey{}:
			s.slots[i] = key
			s.n++
			return true
		case key:
			return false
		}
	}
}

// place maps a hash to a slot; the number of slots need not be a power of two.
func (s *shard) place(hash uint64) int {
	return int((hash >> 32) * uint64(len(s.slots)) >> 32)
}

func (s *shard) grow() {
	old := s.slots
	s.slots = make([]nameKey, max(16, len(old)*3/2))
	s.n = 0
	for _, key := range old {
		if key != (nameKey{}) {
			s.add(key)
		}
	}
}
