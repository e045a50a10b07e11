package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

type program struct {
	Config `embed:""`
}

func parse(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	var p program
	_, err := Parse(&p, &p.Config, args, kong.Writers(io.Discard, io.Discard))
	return p.Config, err
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	policy := c.Policy()
	if policy.DeleteGrace != 168*time.Hour || policy.UploadStall != time.Minute || policy.CancelGrace != 0 {
		t.Errorf("policy: %+v", policy)
	}
	if c.DatabaseURL != "sqlite://.reelflow/catalog.db" || c.MaxBytes != 287_600_000 || len(c.Backups) != 2 {
		t.Errorf("%+v", c)
	}
}

func TestFlagWinsOverEnvironmentOverDefault(t *testing.T) {
	t.Setenv("REELFLOW_HTTP_ADDR", "127.0.0.1:1")
	t.Setenv("REELFLOW_URL", "http://example.org")
	c, err := parse(t, "--http-addr", "127.0.0.1:2", "--data-dir=elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTPAddr != "127.0.0.1:2" || c.URL != "http://example.org" || c.DatabaseURL != "sqlite://elsewhere/catalog.db" {
		t.Errorf("%+v", c)
	}
}

func TestFlagsAndVariablesAreOneList(t *testing.T) {
	for field := range reflect.TypeFor[Config]().Fields() {
		name, env := field.Tag.Get("name"), field.Tag.Get("env")
		if env != variable(name) {
			t.Errorf("%s: flag --%s has the variable %s", field.Name, name, env)
		}
		if field.Tag.Get("help") == "" {
			t.Errorf("%s has no help", field.Name)
		}
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	bad := map[string]string{
		"REELFLOW_HTPP_ADDR":    "x",
		"REELFLOW_DELETE_GRACE": "a week",
		"REELFLOW_AUDIT_EVERY":  "10ms",
		"REELFLOW_MAX_BYTES":    "lots",
		"REELFLOW_UPLOAD_IDLE":  "-1h",
		"REELFLOW_HTTP_ADDR":    "8080",
		"REELFLOW_ROLE":         "chef",
		"REELFLOW_AUTH":         "ldap://x",
		"REELFLOW_BACKUPS":      "s3://h/b?name=a,s3://h/c?name=a",
		"REELFLOW_DATABASE_URL": "mysql://x/y",
		"REELFLOW_LOG_LEVEL":    "loud",
		"REELFLOW_QUOTA_BYTES":  "-1",
		"REELFLOW_IMPORT_ALLOW": "media.corp, http://files.corp/",
	}
	for name, value := range bad {
		t.Setenv(name, value)
	}
	_, err := parse(t)
	problems, ok := err.(Problems)
	if !ok {
		t.Fatalf("want Problems, got %v", err)
	}
	for name := range bad {
		if !strings.Contains(problems.Error(), name) {
			t.Errorf("%s is not named in:\n%v", name, problems)
		}
	}
	if len(problems) != len(bad) {
		t.Errorf("%d problems for %d mistakes:\n%v", len(problems), len(bad), problems)
	}
}

// Nobody could adopt such a store.
func TestNoStoreHasTheNameOfAnotherPlace(t *testing.T) {
	for _, name := range []string{"catalog", "vault", "temporal"} {
		t.Setenv("REELFLOW_PRIMARY", "s3://h/b?name="+name)
		if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "starter adopt "+name+" means another place") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheRootOfAVaultInAFolderIsInIt(t *testing.T) {
	t.Setenv("REELFLOW_VAULT_ROOT", "file:///srv/root")
	if _, err := parse(t, "--vault=/srv/vault"); err == nil || !strings.Contains(err.Error(), "REELFLOW_VAULT_ROOT") {
		t.Errorf("%v", err)
	}
	if _, err := parse(t, "--vault=postgres://db/vault"); err != nil {
		t.Error(err)
	}
	if _, err := parse(t, "--vault=ftp://db/vault"); err == nil || !strings.Contains(err.Error(), "REELFLOW_VAULT)") {
		t.Errorf("%v", err)
	}
}

func TestAnIssuerNeedsAnAudience(t *testing.T) {
	t.Setenv("REELFLOW_AUTH", "https://issuer.example")
	t.Setenv("REELFLOW_PUBLIC_URL", "https://reels.example")
	if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "REELFLOW_OIDC_AUDIENCE") {
		t.Errorf("%v", err)
	}
	for _, enough := range []string{"--oidc-audience=reelflow", "--oidc-client-id=pages"} {
		if _, err := parse(t, enough); err != nil {
			t.Errorf("%s: %v", enough, err)
		}
	}
}

// Without it links, redirects and cookies would be made by whatever name a request came under.
func TestAnIssuerNeedsThePublicURL(t *testing.T) {
	t.Setenv("REELFLOW_AUTH", "https://issuer.example")
	t.Setenv("REELFLOW_OIDC_AUDIENCE", "reelflow")
	if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "REELFLOW_PUBLIC_URL") {
		t.Errorf("%v", err)
	}
	for address, good := range map[string]bool{
		"https://reels.example": true, "https://reels.example/": true, "http://127.0.0.1:8080": true,
		"https://reels.example/videos": false, "https://reels.example?x": false, "https://me@reels.example": false, "ftp://reels.example": false, "https:": false,
	} {
		if _, err := parse(t, "--public-url="+address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	c, err := parse(t, "--trusted-proxies", "10.1.2.3/8, 192.0.2.1,fd00::/8")
	if err != nil || fmt.Sprint(c.Proxies()) != "[10.0.0.0/8 192.0.2.1/32 fd00::/8]" {
		t.Errorf("%v %v", c.Proxies(), err)
	}
	if _, err := parse(t, "--trusted-proxies", "10.0.0.0/8,proxy.lan"); err == nil || !strings.Contains(err.Error(), "proxy.lan") {
		t.Errorf("%v", err)
	}
}

// Whoever sets what does nothing yet would rely on it.
func TestWhatDoesNothingIsRefused(t *testing.T) {
	for _, name := range notYet {
		t.Setenv(name, "")
	}
	if _, err := parse(t); err != nil {
		t.Errorf("set to nothing: %v", err)
	}
	for _, name := range notYet {
		t.Setenv(name, "https://moderation.example")
	}
	_, err := parse(t)
	for _, name := range notYet {
		if err == nil || !strings.Contains(err.Error(), name+" is set and does nothing yet") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for field := range reflect.TypeFor[Config]().Fields() {
		if slices.Contains(notYet, field.Tag.Get("env")) {
			t.Errorf("%s is a setting: take it from notYet", field.Name)
		}
	}
}

func TestProblemsAreNamedBesideAnUnknownFlag(t *testing.T) {
	t.Setenv("REELFLOW_MAX_DURATION", "long")
	_, err := parse(t, "--colour")
	for _, want := range []string{"REELFLOW_MAX_DURATION", "--colour"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const hidden = "hunter2"
	for name, value := range map[string]string{
		"REELFLOW_TOKEN":        hidden,
		"REELFLOW_PRIMARY":      "s3://me:" + hidden + "@h/b?name=p",
		"REELFLOW_BACKUPS":      "s3://me:" + hidden + "@h/b?name=b",
		"REELFLOW_DATABASE_URL": "postgres://me:" + hidden + "@h/b?sslpassword=" + hidden,
	} {
		t.Setenv(name, value)
	}
	var out bytes.Buffer
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s", c, c, c, c.Backups)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", c, "primary", c.Primary, "token", c.Token, "backups", c.Backups)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "config", c)

	var p program
	_, helpErr := Parse(&p, &p.Config, []string{"--help"}, kong.Writers(&out, &out), kong.Exit(func(int) {}))
	t.Setenv("REELFLOW_PRIMARY", "s3://me:"+hidden+"@h:bad-port/%zz")
	_, badErr := parse(t)
	if badErr == nil {
		t.Error("a broken address was accepted")
	}
	fmt.Fprint(&out, helpErr, badErr)
	if strings.Contains(out.String(), hidden) || strings.Contains(out.String(), "reelflow-local") {
		t.Errorf("a secret was printed:\n%s", out.String())
	}
	if string(c.Token) != hidden {
		t.Error("the secret itself is lost")
	}
}

func TestTemporalReadsTheNamesOfItsOwnSDK(t *testing.T) {
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	options, err := Temporal(slog.New(slog.DiscardHandler))
	if err != nil || options.HostPort != "127.0.0.1:7233" || options.Namespace != "default" {
		t.Errorf("%v %v %v", options.HostPort, options.Namespace, err)
	}
	t.Setenv("TEMPORAL_ADDRESS", "example.org:7233")
	t.Setenv("TEMPORAL_NAMESPACE", "reels")
	options, err = Temporal(slog.New(slog.DiscardHandler))
	if err != nil || options.HostPort != "example.org:7233" || options.Namespace != "reels" {
		t.Errorf("%v %v %v", options.HostPort, options.Namespace, err)
	}
}

func TestAChildReadsTheSameSettings(t *testing.T) {
	t.Setenv("REELFLOW_TOKEN", "dev:someone")
	t.Setenv("REELFLOW_DELETE_GRACE", "90s")
	parent, err := parse(t, "--stdin-parent", "--backups=s3://h/b?name=only")
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range parent.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	child, err := parse(t)
	if err != nil || !reflect.DeepEqual(parent, child) {
		t.Errorf("%v\n%+v\n%+v", err, parent, child)
	}
}

func TestASettingCanBeAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	grace := filepath.Join(t.TempDir(), "grace")
	if err := os.WriteFile(grace, []byte("90s"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REELFLOW_TOKEN_FILE", path)
	t.Setenv("REELFLOW_DELETE_GRACE_FILE", grace)
	t.Setenv("REELFLOW_OIDC_CLIENT_SECRET_FILE", "a path, as before")
	c, err := parse(t)
	if err != nil || string(c.Token) != "hunter2" || c.DeleteGrace != 90*time.Second || c.OIDCClientSecretFile != "a path, as before" {
		t.Errorf("%q %v %v", string(c.Token), c.DeleteGrace, err)
	}
	if c, err = parse(t, "--token=flag"); err != nil || string(c.Token) != "flag" {
		t.Errorf("a flag doesn't win: %q %v", string(c.Token), err)
	}
	t.Setenv("REELFLOW_TOKEN", "too")
	t.Setenv("REELFLOW_VAULT_FILE", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("REELFLOW_NOTHING_FILE", path)
	_, err = parse(t)
	for _, want := range []string{"REELFLOW_TOKEN_FILE: REELFLOW_TOKEN is set as well", "REELFLOW_VAULT_FILE: ", "REELFLOW_NOTHING_FILE is not a setting"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Error("a secret was printed")
	}
}
