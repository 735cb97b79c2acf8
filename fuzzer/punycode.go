package fuzzer

// Parameters of Punycode, RFC 3492 section 5.
const (
	punyBase        = 36
	punyTMin        = 1
	punyTMax        = 26
	punySkew        = 38
	punyDamp        = 700
	punyInitialBias = 72
	punyInitialN    = 128
)

// appendPunycode appends the Punycode form of label (RFC 3492 section 6.3) to
// dst and gives up, with ok false, as soon as it would need more than max
// octets. label is short (the caller bounds it), so the deltas fit an int.
func appendPunycode(dst []byte, label []rune, maxLen int) (_ []byte, ok bool) {
	start := len(dst)
	for _, r := range label {
		if r < punyInitialN {
			dst = append(dst, byte(r))
		}
	}
	basic := len(dst) - start
	if basic > 0 {
		dst = append(dst, '-')
	}
	n, delta, bias := rune(punyInitialN), 0, punyInitialBias
	for handled := basic; handled < len(label); {
		next := rune(0x7fffffff)
		for _, r := range label {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (handled + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			dst = appendVarint(dst, delta, bias)
			if len(dst)-start > maxLen {
				return dst[:start], false
			}
			bias = adaptBias(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		n++
	}
	return dst, len(dst)-start <= maxLen
}

// appendVarint appends delta as a generalised variable-length integer, RFC 3492 section 3.3.
func appendVarint(dst []byte, delta, bias int) []byte {
	q := delta
	for k := punyBase; ; k += punyBase {
		t := min(max(k-bias, punyTMin), punyTMax)
		if q < t {
			return append(dst, punyDigit(q))
		}
		dst = append(dst, punyDigit(t+(q-t)%(punyBase-t)))
		q = (q - t) / (punyBase - t)
	}
}

func punyDigit(d int) byte {
	if d < 26 {
		return byte('a' + d)
	}
	return byte('0' + d - 26)
}

// adaptBias is the bias adaptation of RFC 3492 section 6.1.
func adaptBias(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > ((punyBase-punyTMin)*punyTMax)/2 {
		delta /= punyBase - punyTMin
		k += punyBase
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}
