package zone

// brands are labels that squatters imitate in general, without a meaning here.
var brands = [...]string{
	"amazon", "apple", "bankofamerica", "chase", "coinbase", "dhl", "docusign", "dropbox", "ebay", "facebook",
	"fedex", "github", "gmail", "google", "hsbc", "icloud", "ikea", "instagram", "linkedin", "mastercard",
	"microsoft", "microsoftonline", "netflix", "office", "onedrive", "outlook", "paypal", "santander", "sharepoint", "spotify",
	"steam", "stripe", "telegram", "tiktok", "twitter", "usps", "visa", "wellsfargo", "whatsapp", "yahoo",
}

var suffixes = [...]string{
	"com", "com", "com", "com", "com", "net", "org", "info", "de", "fr", "nl", "it", "pl", "es", "eu", "in",
	"co.uk", "com.br", "io", "co", "online", "shop", "site", "top", "xyz", "app", "dev", "us", "ca", "ch",
}

// width is the number of letters that make names different from each other.
const width = 4

// MaxNames is the length of the longest list.
const MaxNames = len(brands) * 26 * 26 * 26 * 26

// Names returns the first n names of the list, of which there are MaxNames:
// lower case, all different, always the same. A shorter list is a prefix of a
// longer one.
func Names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = nameAt(i)
	}
	return names
}

func nameAt(i int) string {
	brand := brands[i%len(brands)]
	// 26^4 is not divisible by 7919, so that this visits every number of four
	// letters once, and neighbours in the list do not look alike.
	number := i / len(brands) * 7919 % (26 * 26 * 26 * 26)
	b := make([]byte, 0, 64)
	b = append(b, brand...)
	for range width {
		b = append(b, 'a'+byte(number%26))
		number /= 26
	}
	b = append(b, '.')
	return string(append(b, suffixes[mix(uint64(i))%uint64(len(suffixes))]...))
}
