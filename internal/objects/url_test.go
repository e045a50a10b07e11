package objects

import (
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]location{
		"s3://u:p@127.0.0.1:9001/reelflow?region=eu-west-1&tls=false&name=primary": {"primary", "reelflow", "http://127.0.0.1:9001", "eu-west-1", "u", "p"},
		"s3://u:p%2F%40%23@store.example/reelflow?name=backup-a":                   {"backup-a", "reelflow", "https://store.example", "us-east-1", "u", "p/@#"},
		"s3://store.example/reelflow?name=b2&tls=true":                             {"b2", "reelflow", "https://store.example", "us-east-1", "", ""},
		"s3:///reel.flow?region=us-west-2&name=aws":                                {"aws", "reel.flow", "", "us-west-2", "", ""},
		"s3:///reelflow?name=aws":                                                  {"aws", "reelflow", "", "", "", ""},
		"s3://[::1]:9001/reelflow?tls=false&name=six":                              {"six", "reelflow", "http://[::1]:9001", "us-east-1", "", ""},
	} {
		got, err := parse(raw)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", raw, got, err)
		}
	}
}

// Each bad URL is refused with what is wrong named and the secret kept, above
// all where the secret itself is what breaks the URL.
func TestOpenRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                            "must begin with s3://",
		"http://u:secret@h/bucket?name=n":             "must begin with s3://",
		"s3://u:sec/ret@h/bucket?name=n":              "percent-encoded",
		"s3://u:sec%zzret@h/bucket?name=n":            "percent-encoded",
		"s3://u:sec#ret@h/bucket?name=n":              "percent-encoded",
		"s3://u:secret@h:port/bucket?name=":           "percent-encoded",
		"s3://u@h/bucket?name=n":                      "both user and password",
		"s3://u:@h/bucket?name=n":                     "both user and password",
		"s3://:secret@h/bucket?name=n":                "both user and password",
		"s3://u:secret@h?name=n":                      "must be a bucket",
		"s3://u:secret@h/Bucket?name=n":               "must be a bucket",
		"s3://u:secret@h/bucket/deep?name=":           "must be a bucket",
		"s3://u:secret@h/bucket":                      "needs a name=",
		"s3://u:secret@h/bucket?name=Name":            "needs a name=",
		"s3://u:secret@h/bucket?name=n&name=secret":   "once each",
		"s3://u:secret@h/bucket?name=n&secret=1":      "only region=, tls= and name=",
		"s3://u:secret@h/bucket?name=n&tls=secret":    "tls must be true or false",
		"s3:///bucket?name=n&tls=false":               "tls=false needs a host",
		"s3://u:secret@h/bucket?name=n;tls=false":     "key=value",
		"ftp://u:secret@h/?tls=maybe":                 "needs a name=",
		"s3://u:secret@h/bucket?name=n&region=%zz":    "key=value",
		"s3://u:secret@h/bucket?name=n\x7f&tls=false": "percent-encoded",
	} {
		_, err := Open(raw)
		if video.CodeOf(err) != video.Invalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), urlForm) {
			t.Errorf("%q: %v", raw, err)
		}
		for _, secret := range []string{"secret", "sec/", "sec%", "ret"} {
			if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), urlForm, ""), secret) {
				t.Errorf("%q: the error gives %q away: %v", raw, secret, err)
			}
		}
	}
}

func TestOpenAll(t *testing.T) {
	url := func(name string) string { return "s3://u:p@127.0.0.1:1/bucket?tls=false&name=" + name }
	set, err := OpenAll(url("primary"), []string{url("backup-a"), url("backup-b")})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, store := range set.All() {
		names = append(names, store.Name())
	}
	if got := strings.Join(names, " "); got != "primary backup-a backup-b" {
		t.Errorf("opened %s", got)
	}
	if store, err := set.ByName("backup-b"); err != nil || store != set.Backups[1] {
		t.Errorf("backup-b is %v, %v", store, err)
	}
	if _, err := set.ByName("backup-c"); video.CodeOf(err) != video.Unavailable {
		t.Errorf("a store that isn't configured: %v", err)
	}

	_, err = OpenAll("nonsense", []string{url("twin"), url("twin"), url("")})
	for _, want := range []string{"The primary store: ", "Backup store 2: name \"twin\" is taken", "Backup store 3: it needs a name="} {
		if video.CodeOf(err) != video.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestDefaultCredentialChain(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	if _, err := Open("s3:///bucket?name=aws"); video.CodeOf(err) != video.Invalid {
		t.Errorf("without any region: %v", err)
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	store, err := Open("s3:///bucket?name=aws")
	if err != nil {
		t.Fatal(err)
	}
	options := store.client.Options()
	credentials, err := options.Credentials.Retrieve(t.Context())
	if err != nil || credentials.AccessKeyID != "from-the-environment" || options.Region != "eu-central-1" {
		t.Errorf("key %q, region %q, %v", credentials.AccessKeyID, options.Region, err)
	}
	if options.UsePathStyle || options.BaseEndpoint != nil {
		t.Error("Amazon S3 is not addressed by its default endpoint")
	}
}
