package fuzzer

import "hash/maphash"

// nameSet remembers names by 128-bit hashes: 16 octets a name, in 64 tables
// that grow one by one, so that no more than 40 octets a name are in use at
// any moment. The hash seeds are random, so nobody can choose names that collide.
type nameSet struct {
	seeds   [2]maphash.Seed
	shards  [64]shard
	n       int
	touched uint64 // what touch has read, so that it is read at all
}

type shard struct {
	slots []nameKey
	n     int
}

func newNameSet() *nameSet {
	return &nameSet{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// key returns the hash under which name is kept.
func (s *nameSet) key(name []byte) nameKey {
	key := nameKey{maphash.Bytes(s.seeds[0], name), maphash.Bytes(s.seeds[1], name)}
	if key == (nameKey{}) {
		key[0] = 1 // the zero key marks a free slot
	}
	return key
}

// touch brings the memory of a key's slot near. A set of a million names lies
// outside the processor's caches, and reads that do not wait for each other
// overlap: who adds many keys touches all of them first.
func (s *nameSet) touch(key nameKey) {
	if shard := s.shard(key); len(shard.slots) > 0 {
		s.touched ^= shard.slots[shard.place(key[1])][0]
	}
}

// add reports whether the key is new.
func (s *nameSet) add(key nameKey) bool {
	if !s.shard(key).add(key) {
		return false
	}
	s.n++
	return true
}

func (s *nameSet) shard(key nameKey) *shard { return &s.shards[key[0]>>58] }

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
