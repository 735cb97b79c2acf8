package emitter

import "hash/maphash"

// keyTable counts the messages of a spool by a hash of topic and key, so that a
// newer message of the same key is not sent before an older one. Keys share
// slots: a message may go through the spool without need, never the other way
// round. Messages without a key have no order. The table is allocated when the
// first message comes and has a fixed size, whatever the spool holds.
type keyTable struct {
	seed  maphash.Seed
	count []uint32
}

// slots of the table: 4 MiB.
const keySlots = 1 << 20

// noSlot is the slot of a message without order.
const noSlot int32 = -1

func (k *keyTable) slot(m *Message) int32 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	_, _ = h.WriteString(m.Topic) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(m.Key)
	return int32(h.Sum64() % keySlots)
}

// add counts a message and returns its slot, for remove.
func (k *keyTable) add(m *Message) int32 {
	if m.Key == "" {
		return noSlot
	}
	if k.count == nil {
		k.seed, k.count = maphash.MakeSeed(), make([]uint32, keySlots)
	}
	slot := k.slot(m)
	k.count[slot]++
	return slot
}

func (k *keyTable) remove(slot int32) {
	if slot != noSlot && k.count[slot] > 0 {
		k.count[slot]--
	}
}

func (k *keyTable) has(m *Message) bool { return k.count != nil && k.count[k.slot(m)] > 0 }

// clear forgets counts that no line stands for any more: those of lines that
// were damaged later.
func (k *keyTable) clear() { clear(k.count) }
