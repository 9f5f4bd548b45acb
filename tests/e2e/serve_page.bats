# cooper serve: the pages for people with a browser.
bats_require_minimum_version 1.5.0
load lib
load serve
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

@test "repositories, tags with history, images: shown as they are, by a browser too, however hostile" {
    local browser
    browser=$(command -v chromium-headless-shell)
    registry_serve
    "$COOPER_SOURCE_DIR/tests/e2e/serve_page.py" "$SERVED" "$browser"
}

@test "images of the store are shown unless only what was pushed is" {
    registry_serve
    [[ $(curl -sf "http://$SERVED/") == *'>busybox</a>'* ]]
    [[ $(curl -sf "http://$SERVED/?repository=busybox&tag=latest") == *"was not pushed"*"/bin/sh"* ]]
    registry_stop
    registry_serve --pushed-only
    [[ $(curl -sf "http://$SERVED/") != *busybox* ]]
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$SERVED/?repository=busybox")" = 404 ]
    registry_stop
    COOPER_ROOT=$PWD/empty registry_serve
    [[ $(curl -sf "http://$SERVED/") == *"nothing here yet"*"cooper push $SERVE_NAME/IMAGE"* ]]
}

@test "the pages ask for the password, and say which tags are immutable" {
    password_line me secret >htpasswd
    registry_serve --auth htpasswd --immutable 'lat*'
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$SERVED/")" = 401 ]
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$SERVED/style.css")" = 401 ]
    [[ $(curl -sf -u me:secret "http://$SERVED/?repository=busybox") == *"(immutable)"* ]]
}
