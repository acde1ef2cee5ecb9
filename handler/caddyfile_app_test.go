package handler

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// The error for each mistake in a Caddyfile says how to correct it.
func TestMistakesInTheCaddyfile(t *testing.T) {
	global := func(s string) string { return "{\nwebhooks {\n" + s + "\n}\n}\n" }
	site := func(s string) string { return ":8080 {\n" + s + "\n}\n" }
	for name, c := range map[string]struct{ caddyfile, want string }{
		"unknown option":         {global("stor sqlite x"), "unrecognized subdirective 'stor'"},
		"block of a scalar":      {global("timeout 5s {\n}"), "timeout takes no block here, at Caddyfile:3"},
		"option of egress":       {global("allow 10.0.0.0/8"), "it belongs in the block of egress: egress … { allow … }"},
		"scalar twice":           {global("timeout 1s\ntimeout 2s"), "timeout is given twice"},
		"block twice":            {"{\nwebhooks {\n}\nwebhooks {\n}\n}\n", "put everything into one block, at Caddyfile:4"},
		"argument":               {"{\nwebhooks x {\n}\n}\n", "webhooks takes no arguments on its line, at Caddyfile:2"},
		"argument of egress":     {global("egress allow 10.0.0.0/8"), "egress takes no arguments on its line, at Caddyfile:3"},
		"empty list":             {global("egress {\nallow\n}"), "allow takes one or more arguments, at Caddyfile:4"},
		"argument of a flag":     {global("subscription a {\nordered yes\n}"), "ordered takes no arguments on its line"},
		"argument of the API":    {site("webhook_api x"), "webhook_api takes no arguments on its line"},
		"store":                  {global("store mysql x"), "store: unknown type: write store sqlite /var/lib/webhooks/webhooks.db, or store postgres {env.DATABASE_URL}"},
		"a DSN for a store":      {global("store postgres://u:s3cr3t@db/x"), "store: unknown type: write store sqlite /var/lib/webhooks/webhooks.db, or store postgres {env.DATABASE_URL}"},
		"store postgres alone":   {global("store postgres"), "store postgres: write it as in: store postgres {env.DATABASE_URL}, in quotes if it contains spaces"},
		"store postgres, words":  {global("store postgres host=db user=u"), "in quotes if it contains spaces"},
		"store without a kind":   {global("store"), "store sqlite /var/lib/webhooks/webhooks.db"},
		"store with too much":    {global("store sqlite a b"), "store sqlite /var/lib/webhooks/webhooks.db"},
		"sign with a block":      {global("sign hmac {\nsignature header X\n}"), "sign takes no block here, at Caddyfile:3"},
		"sign by nothing":        {global("sign"), "sign takes one or more arguments, at Caddyfile:3"},
		"sign by an empty word":  {global("sign github \"\""), "sign is empty, at Caddyfile:3"},
		"scheme on two lines":    {global("subscription a {\nscheme github\nscheme stripe\n}"), "scheme is given twice"},
		"scheme for one":         {global("subscription a {\nscheme acme {\nsignature header X\n}\n}"), "scheme takes no block here, at Caddyfile:4"},
		"option of a scheme":     {global("content {body}"), "it describes a scheme, as in: webhooks { scheme … { content … } }"},
		"option of one's scheme": {global("subscription a {\nsignature header X\n}"), "it describes a scheme, as in: webhooks { scheme … { signature … } }"},
		"scheme with a secret":   {global("scheme acme {\nsecret s\n}"), "unrecognized subdirective 'secret'"},
		"scheme with a route":    {global("scheme acme {\nmax_body 1MiB\n}"), "unrecognized subdirective 'max_body'"},
		"scheme without a name":  {global("scheme {\nsignature header X\n}"), "as in `scheme acme {` or `scheme acme github {`"},
		"scheme of three words":  {global("scheme acme github stripe"), "as in `scheme acme {` or `scheme acme github {`"},
		"scheme by half":         {global("scheme acme"), "scheme acme: signature: no name; say where the signature is, such as header X-Acme-Signature, at Caddyfile:3"},
		"scheme that is built":   {global("timeout 5s\nscheme github {\nsignature header X\n}"), "scheme github: there is a built-in scheme of that name: choose another, at Caddyfile:4"},
		"scheme of a provider's": {global("scheme acme githb {\nsignature header X\n}"), "did you mean github?, at Caddyfile:3"},
		"scheme misspelt":        {global("scheme acme {\nsignature header X\n}") + site("webhook_verify acne s"), "webhook_verify acne: unknown provider: did you mean acme?"},
		"override of a scheme":   {global("scheme acme {\nsignature header X\n}") + site("webhook_verify acme s {\ntolerance 5m\n}"), "webhook_verify acme: scheme acme: tolerance: it needs a signed time"},
		"no delay":               {global("retry"), "retry 5s 5m 30m 2h"},
		"delay":                  {global("retry 5s soon"), "retry soon"},
		"factor":                 {global("retry exponential {\nfactor x\n}"), "factor x: write a number of 1 or more, such as 2"},
		"factor of 0":            {global("retry exponential {\nfactor 0\n}"), "factor 0: write a number of 1 or more"},
		"factor without end":     {global("retry exponential {\nfactor Inf\n}"), "factor Inf: write a number of 1 or more"},
		"option of exponential":  {global("retry exponential {\ntries 3\n}"), "unrecognized subdirective 'tries'"},
		"duration":               {global("timeout 15"), "write a duration such as 15s"},
		"placeholder":            {global("timeout {env.TIMEOUT}"), "timeout {env.TIMEOUT}: the only placeholder that works here is {$NAME}"},
		"disable_after":          {global("disable_after 50"), "disable_after: write how many attempts"},
		"disable_after count":    {global("disable_after 0 24h"), "disable_after 0: write a number of failed attempts"},
		"disable_after time":     {global("disable_after 50 day"), "disable_after 50 day: write how long ago the first of the failed attempts must have been"},
		"retain_for":             {global("retain_for long"), "retain_for long: write a duration such as 15s, 5m, 2h or 1d"},
		"retain_size":            {global("retain_size none"), "retain_size none: write a size such as 1MiB"},
		"number":                 {global("concurrency none"), "write a number of 1 or more"},
		"size":                   {global("max_payload much"), "write a size such as 1MiB"},
		"egress":                 {global("egress {\nopen 10.0.0.0/8\n}"), "unrecognized subdirective 'open'"},
		"trust pool":             {global("egress {\ntls_trust_pool\n}"), "as in: tls_trust_pool file /etc/ssl/internal-ca.pem, at Caddyfile:4"},
		"trust pool of a path":   {global("egress {\ntls_trust_pool /ca.pem\n}"), "tls_trust_pool /ca.pem: "},
		"certificate, no key":    {global("egress {\ntls_client_auth client.pem\n}"), "as in: tls_client_auth client.pem client.key, at Caddyfile:4"},
		"empty certificate":      {global("egress {\ntls_client_auth \"\" \"\"\n}"), "as in: tls_client_auth client.pem client.key"},
		"subscription no name":   {global("subscription {\n}"), "subscription: write its name after it, one word, as in `subscription crm {`"},
		"subscription two names": {global("subscription a b {\n}"), "`subscription crm {`"},
		"event type no name":     {global("event_type"), "event_type order.created"},
		"subscription option":    {global("subscription a {\nuri x\n}"), "unrecognized subdirective 'uri'"},
		"filter unquoted":        {global("subscription a {\nfilter payload.total > 100\n}"), "filter takes one argument, in `backquotes` if it has spaces, at Caddyfile:4"},
		"header":                 {global("subscription a {\nheader X\n}"), "header X-Env production"},
		"header twice":           {global("subscription a {\nheader X 1\nheader X 2\n}"), "header X is given twice"},
		"header with a colon":    {global("subscription a {\nheader X 1\nheader X: 2\n}"), "header X is given twice"},
		"oauth2 without a URL":   {global("subscription a {\noauth2 {\nclient_id x\n}\n}"), "oauth2: write the URL of the token endpoint after it"},
		"oauth2 twice":           {global("subscription a {\noauth2 https://a.example\noauth2 https://a.example\n}"), "oauth2 is given twice"},
		"singular":               {global("subscription a {\nevent_type x\n}"), "unrecognized subdirective 'event_type': did you mean event_types?"},
		"option of oauth2":       {global("subscription a {\nclient_id x\n}"), "it belongs in the block of oauth2: oauth2 … { client_id … }"},
		"oauth2 option":          {global("subscription a {\noauth2 https://a.example {\nid x\n}\n}"), "unrecognized subdirective 'id': the options here are auth_style, client_id, client_secret, param, scope"},
		"param":                  {global("subscription a {\noauth2 https://a.example {\nparam audience\n}\n}"), "param: write a name and a value, as in: param audience https://crm.example.com"},
		"param twice":            {global("subscription a {\noauth2 https://a.example {\nparam a 1\nparam a 2\n}\n}"), "param a is given twice"},
		"tenant rate":            {global("tenant_rate_limit 50"), `tenant_rate_limit: "50" is not a rate`},
		"rate":                   {global("subscription a {\nrate_limit 50\n}"), `"50" is not a rate`},
		"delay of one":           {global("subscription a {\nretry 5s soon\n}"), "retry soon: write delays, as in: retry 5s 5m 30m 2h, at Caddyfile:4"},
		"timeout of one":         {global("subscription a {\ntimeout 15\n}"), "write a duration such as 15s"},
		"metadata":               {global("subscription a {\nmetadata customer\n}"), "metadata: write a name and a value, as in: metadata customer 42"},
		"publish without a type": {site("webhook_publish"), "webhook_publish github.{http.webhook.event_type}"},
		"publish option":         {site("webhook_publish a {\nid x\n}"), "unrecognized subdirective 'id'"},
		"token":                  {site("webhook_api {\ntoken x\n}"), "token {env.WEBHOOKS_TOKEN} publish"},
		"scope":                  {site("webhook_api {\ntoken x admin\n}"), "after the token write publish, read or manage, at Caddyfile:3"},
		"no token":               {site("webhook_api"), "write `token {env.WEBHOOKS_TOKEN} manage`, or `auth none` if something in front of it authenticates requests, at Caddyfile:2"},
		"token and no auth":      {site("webhook_api {\nauth none\ntoken x read\n}"), "`auth none` can't be combined with tokens: leave out one of them, at Caddyfile:5"},
		"auth":                   {site("webhook_api {\nauth basic\n}"), "auth: write `auth none`, or tokens, at Caddyfile:4"},
		"api option":             {site("webhook_api {\ntokens x\n}"), "unrecognized subdirective 'tokens': did you mean token?"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(c.caddyfile), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// A schema is read when the Caddyfile is adapted, and checked when the config is
// loaded.
func TestSchemaFile(t *testing.T) {
	runCaddy(t, "", ":0 {\n}")
	file := filepath.Join(t.TempDir(), "order.json")
	write := func(schema string) string {
		must.Do(t, os.WriteFile(file, []byte(schema), 0o600))
		return "webhooks {\nevent_type order.created \"An order\" {\nschema " + file + "\n}\n}"
	}
	config := adapt(t, "{\n"+write(`{"type": "object"}`)+"\n}\n")
	if want := `"schema": {
						"type": "object"
					}`; !strings.Contains(config, want) {
		t.Errorf("got %s, want %s in it", config, want)
	}
	if got := loadCaddy(t, write(`{"type": "object"}`), ""); got != "" {
		t.Errorf("it is refused: %s", got)
	}
	if got := loadCaddy(t, write(`{"type": "objekt"}`), ""); !strings.Contains(got, " is not a JSON Schema: /type must be one of") || !strings.Contains(got, "Caddyfile:") {
		t.Errorf("it is answered %s", got)
	}
}

func TestOff(t *testing.T) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nwebhooks {\ndisable_after off\nretain_for off\nretain_size off\nresponse_body off\n}\n}\n"), nil)
	if want := `"webhooks":{"disable_after":{"failures":-1},"retain_for":-1,"retain_size":-1,"response_body":-1}`; err != nil || !strings.Contains(string(config), want) {
		t.Errorf("got %s, %v, want %s in it", config, err, want)
	}
}

// A duration without a unit is in nanoseconds in JSON, which nobody means: the config
// doesn't load.
func TestDurationsWithoutAUnit(t *testing.T) {
	runCaddy(t, "", ":0 {\n}")
	for app, want := range map[string]string{
		`"timeout": 15`:         "timeout must be at least 1ms, not 15ns: write a unit",
		`"secret_grace": 24`:    "secret_grace must be at least 1s, not 24ns",
		`"retain_for": 2592000`: "retain_for must be at least 1s, not 2.592ms",
		`"disable_after": {"failures": 50, "for": 86400}`: "disable_after for must be at least 1s, not 86.4µs",
		`"retry": {"delays": [5, 300]}`:                   "retry: a delay must be at least 1ms, not 5ns",
		`"retry": {"exponential": {"base": 1}}`:           "retry: base must be at least 1ms, not 1ns",
		`"subscriptions": [{"name": "crm", "url": "https://a.example", "event_types": ["*"], "timeout": 15}]`: "subscription crm: timeout must be at least 1ms, not 15ns",
	} {
		res := postLoad(t, "application/json", fmt.Sprintf(`{"admin": {"listen": "localhost:%d", "config": {"persist": false}}, "apps": {"webhooks": {%s}}}`, adminPort(), app))
		got := string(must.Get(io.ReadAll(res.Body))(t))
		res.Body.Close()
		if res.StatusCode == http.StatusOK || !strings.Contains(got, want) {
			t.Errorf("%s: got %s %s, want %q", app, res.Status, got, want)
		}
	}
}

// Some mistakes are only found when a config is loaded.
func TestMistakesFoundAtLoad(t *testing.T) {
	runCaddy(t, "", ":0 {\n}")
	subscription := func(s string) string {
		return "webhooks {\nsubscription crm {\nurl https://crm.example.com\nevent_types *\nsecret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n" + s + "\n}\n}"
	}
	for name, c := range map[string]struct{ options, sites, want string }{
		"unknown scheme":      {"webhooks {\nsign md5\n}", "", "caddy webhooks providers"},
		"misspelt sign":       {"webhooks {\nsign githb\n}", "", `sign: unknown signature scheme "githb": did you mean github?`},
		"sign with a form":    {"webhooks {\nsign hmac\n}", "", "sign: hmac can't sign deliveries: "},
		"sign in the URL":     {"webhooks {\nscheme acme {\nsignature query sig\n}\nsign acme\n}", "", "its signature is in the URL, and only headers are added to a delivery"},
		"sign by the host":    {"webhooks {\nscheme acme {\nsignature header Host\n}\nsign acme\n}", "", "sign: acme can't sign deliveries: the header host can't have a part of the signature, because it comes from the URL"},
		"sign by a resender":  {"webhooks {\nscheme acme {\nsignature header X-Sig\nid header Idempotency-Key\n}\nsign acme\n}", "", "sign: acme can't sign deliveries: the header idempotency-key can't"},
		"sign in the body":    {"webhooks {\nsign mailgun\n}", "", "choose a scheme with a header"},
		"scheme of a token":   {subscription("scheme okta"), "", "scheme is wrong: okta can't sign deliveries: "},
		"sign by rivals":      {"webhooks {\nsign standard-webhooks gitlab\n}", "", "sign: standard-webhooks and gitlab can't sign the same deliveries: both set the header Webhook-Signature; leave one out"},
		"schemes with commas": {subscription("scheme github, stripe"), "", "several with single spaces between them"},
		"key of one scheme":   {subscription("scheme standard-webhooks onfleet"), "", "secret is wrong: signing as onfleet: secret 1 of 1: it is not hexadecimal"},
		"misspelt scheme":     {subscription("scheme sripe"), "", "did you mean stripe?"},
		"host of one word":    {"webhooks {\nsubscription crm {\nurl http://localhost:3000/\nevent_types *\n}\n}", "", "egress { allow localhost }"},
		"event type twice":    {"webhooks {\nevent_type order.created\nevent_type order.created again\n}", "", "event_type order.created is defined twice"},
		"log can't be opened": {"webhooks {\ndead_letter_log /dev/null/dead.ndjson\n}", "", "dead_letter_log: "},
		"log without a path":  {"webhooks {\ndead_letter_log {env.NO_SUCH_PATH}\n}", "", "dead_letter_log: the environment variable NO_SUCH_PATH is empty or not set"},
		"retry too long":      {"webhooks {\nretry 8d\n}", "", "at most"},
		"concurrency":         {"webhooks {\nconcurrency 1000000\n}", "", "concurrency is out of range"},
		"egress":              {"webhooks {\negress {\nallow 10.0.0.0/64\n}\n}", "", "egress"},
		"no CA":               {"webhooks {\negress {\ntls_trust_pool file /dev/null/ca.pem\n}\n}", "", "egress tls_trust_pool: "},
		"no CA in the file":   {"webhooks {\negress {\ntls_trust_pool file /dev/null\n}\n}", "", "egress tls_trust_pool: a pool contains no certificates"},
		"system twice":        {"webhooks {\negress {\ntls_trust_pool system\ntls_trust_pool system\n}\n}", "", "egress tls_trust_pool: *caddytls.SystemCAPool can't be combined with other pools: leave it out"},
		"no certificate":      {"webhooks {\negress {\ntls_client_auth /dev/null/client.pem client.key\n}\n}", "", "egress tls_client_auth: open /dev/null/client.pem"},
		"no secret in env":    {"webhooks {\nsubscription crm {\nurl https://crm.example.com\nevent_types *\nsecret {env.NO_SUCH_SECRET}\n}\n}", "", "subscription crm: secret: the environment variable NO_SUCH_SECRET is empty or not set"},
		"secret not decoded":  {"webhooks {\nsubscription crm {\nurl https://crm.example.com\nevent_types *\nsecret whsec_!!\n}\n}", "", "subscription crm"},
		"denied address":      {"webhooks {\nsubscription crm {\nurl http://10.0.0.1/\nevent_types *\n}\n}", "", "have the server's configuration allow it: egress { allow"},
		"no url":              {"webhooks {\nsubscription crm {\nevent_types *\n}\n}", "", "subscription crm: url is missing: write where"},
		"no event types":      {"webhooks {\nsubscription crm {\nurl https://crm.example.com\n}\n}", "", "event_types is missing: name the types to receive, such as order.created or invoice.*, or * for all"},
		"pattern":             {subscription("event_types order*"), "", `"order*", which is neither an event type such as order.created, nor a prefix such as order.*, nor * for all`},
		"header injection":    {subscription("header X \"a\r\nb\""), "", "headers"},
		"reserved header":     {subscription("header Webhook-Id x"), "", "headers"},
		"scheme's header":     {subscription("scheme github\nheader X-GitHub-Event x"), "", "belongs to the signature of github"},
		"token elsewhere":     {subscription("oauth2 https://169.254.169.254/ {\nclient_id x\nclient_secret hunter2\n}"), "", "subscription crm: oauth2.token_url is refused: "},
		"origin":              {subscription("handshake https://hooks.example.com"), "", "subscription crm: handshake must be the DNS name by which receivers know this sender"},
		"header of the token": {subscription("header authorization x\noauth2 https://login.example.com/ {\nclient_id x\nclient_secret hunter2\n}"), "", "subscription crm: headers can't have Authorization beside oauth2"},
		"no client":           {subscription("oauth2 https://login.example.com/ {\nclient_secret hunter2\n}"), "", "subscription crm: oauth2.client_id is missing"},
		"no client secret":    {subscription("oauth2 https://login.example.com/ {\nclient_id x\n}"), "", "subscription crm: oauth2 client_secret: the secret is empty"},
		"client secret unset": {subscription("oauth2 https://login.example.com/ {\nclient_id x\nclient_secret {env.NO_SUCH_SECRET}\n}"), "", "subscription crm: oauth2 client_secret: the environment variable NO_SUCH_SECRET is empty or not set"},
		"auth style":          {subscription("oauth2 https://login.example.com/ {\nclient_id x\nclient_secret hunter2\nauth_style basic\n}"), "", "subscription crm: oauth2.auth_style must be header or body"},
		"same name twice":     {"webhooks {\nsubscription a {\nurl https://a.example\nevent_types *\n}\nsubscription a {\nurl https://a.example\nevent_types *\n}\n}", "", "is defined twice"},
		"name of a sub id":    {"webhooks {\nsubscription 0123456789abcdef {\nurl https://a.example\nevent_types *\n}\n}", "", "choose a word"},
		"no schema file":      {"webhooks {\nevent_type order.created {\nschema /dev/null/order.json\n}\n}", "", "schema: open /dev/null/order.json"},
		"schema path unknown": {"webhooks {\nevent_type order.created {\nschema {env.NO_SUCH_DIR}/order.json\n}\n}", "", "schema: "},
		"event type reserved": {"webhooks {\nevent_type webhooks.delivery.dead\n}", "", "event_type is reserved"},
		"schema not JSON":     {"webhooks {\nevent_type order.created {\nschema /dev/null\n}\n}", "", "schema: /dev/null is empty"},
		"event type":          {"webhooks {\nevent_type \"order created\"\n}", "", "event_type is not an event type"},
		"api without a token": {"", ":0 {\nwebhook_api\n}", "auth none"},
		"token and none":      {"", ":0 {\nwebhook_api {\nauth none\ntoken x manage\n}\n}", "can't be combined with tokens"},
		"empty token":         {"", ":0 {\nwebhook_api {\ntoken {env.NO_SUCH_TOKEN} manage\n}\n}", "NO_SUCH_TOKEN"},
		"a reserved type":     {"", ":0 {\nwebhook_publish webhooks.{http.webhook.event_type}\n}", "webhook_publish: invalid configuration: \"webhooks.{http.webhook.event_type}\": types that begin with webhooks. are reserved for events that the server publishes about itself"},
		"no event type":       {"", ":0 {\nwebhook_publish \"order created\"\n}", "webhook_publish: invalid configuration: \"order created\" is not a valid event type"},
		"misspelt type":       {"", ":0 {\nwebhook_publish {http.webhook.provider}.{http.webhook.type}\n}", "webhook_publish: invalid configuration: event type: there is no {http.webhook.type}: "},
		"plural of type":      {"", ":0 {\nwebhook_publish github.{http.webhooks.event_type}\n}", "webhook_publish: invalid configuration: event type: there is no {http.webhooks.event_type}: "},
		"misspelt id":         {"", ":0 {\nwebhook_publish a {\nevent_id {http.webhook.event_id}\n}\n}", "webhook_publish: invalid configuration: event_id: there is no {http.webhook.event_id}: "},
		"no tenant":           {"", ":0 {\nwebhook_publish a {\ntenant \"acme inc\"\n}\n}", "webhook_publish: invalid configuration: tenant \"acme inc\": it may only have"},
		"type not set":        {"", ":0 {\nwebhook_publish {env.NO_SUCH_APP}.{http.webhook.event_type}\n}", "webhook_publish: invalid configuration: event type: the environment variable NO_SUCH_APP is empty or not set"},
		"tenant not set":      {"", ":0 {\nwebhook_publish a {\ntenant {env.NO_SUCH_TENANT}\n}\n}", "webhook_publish: invalid configuration: tenant: the environment variable NO_SUCH_TENANT is empty or not set"},
		"one id for all":      {"", ":0 {\nwebhook_publish a {\nevent_id x\n}\n}", "all events would have the same id"},
		"forwards a reserved": {"", ":0 {\nwebhook_publish a {\nforward_headers X-GitHub-* Host\n}\n}", "webhook_publish: invalid configuration: forward_headers Host: "},
		"forwards none":       {"", ":0 {\nwebhook_publish a {\nforward_headers Webhook-*\n}\n}", "webhook_publish: invalid configuration: forward_headers Webhook-*: "},
		"an api's tenant":     {"", ":0 {\nwebhook_api {\nauth none\ntenant \"acme inc\"\n}\n}", "webhook_api: tenant \"acme inc\": it may only have"},
		"a variable's tenant": {"", ":0 {\nwebhook_api {\nauth none\ntenant a{env.PATH}\n}\n}", "it may only have"},
		"an api's is not set": {"", ":0 {\nwebhook_api {\nauth none\ntenant {env.NO_SUCH_TENANT}\n}\n}", "webhook_api: tenant: the environment variable NO_SUCH_TENANT is empty or not set"},
		"an api's misspelt":   {"", ":0 {\nwebhook_api {\nauth none\ntenant {http.webhook.tenant}\n}\n}", "webhook_api: tenant: there is no {http.webhook.tenant}: "},
		"an api's is empty":   {"", ":0 {\nwebhook_api {\nauth none\ntenant \"\"\n}\n}", "tenant is empty"},
		"an api's tenants":    {"", ":0 {\nwebhook_api {\nauth none\ntenant a\ntenant b\n}\n}", "tenant is given twice"},
		"unknown scope":       {"", ":0 {\nwebhook_api {\ntoken x admin\n}\n}", "publish"},
	} {
		t.Run(name, func(t *testing.T) {
			got := loadCaddy(t, c.options, c.sites)
			if !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), c.want) {
				t.Errorf("got %s, want %q in it", got, c.want)
			}
			for _, secret := range []string{"whsec_!!", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hunter2"} {
				if strings.Contains(got, secret) {
					t.Errorf("the error shows the secret: %s", got)
				}
			}
		})
	}
}
