-- wrenn completion bash|zsh|fish, and what those scripts call

local SCRIPTS = {}

-- bash takes ":" and "=" for ends of words: what is before the last of them must
-- not come again. As names of files they would be quoted.
SCRIPTS.bash = [[
_wrenn() {
  local line word
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
    :cut*) word=${line#:cut} ;;
    :file) [ "${#COMPREPLY[@]}" -gt 0 ] || compopt -o filenames
      while IFS= read -r line; do COMPREPLY+=("$line")
      done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}") ;;
    :directory) compopt -o filenames
      while IFS= read -r line; do COMPREPLY+=("$line")
      done < <(compgen -d -- "${COMP_WORDS[COMP_CWORD]}") ;;
    *) line=${line%%$'\t'*}
      line=${line#"$word"}
      case $line in *[/:=]) compopt -o nospace ;; esac
      COMPREPLY+=("$line") ;;
    esac
  done < <(wrenn completion --cut "$COMP_WORDBREAKS" \
    --line "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _wrenn wrenn
]]

SCRIPTS.zsh = [[
#compdef wrenn
_wrenn() {
  local line value
  local -a values abouts open
  while IFS= read -r line; do
    case $line in
    :file) _files ;;
    :directory) _files -/ ;;
    *) value=${line%%$'\t'*}
      case $value in
      *[/:=]) open+=("$value") ;;
      *) values+=("$value"); abouts+=("${line/$'\t'/  -- }") ;;
      esac ;;
    esac
  done < <(wrenn completion --words -- "${(@Q)words[2,CURRENT-1]}" \
    "${(Q)PREFIX}" 2>/dev/null)
  (( $#values )) && compadd -l -d abouts -a values
  (( $#open )) && compadd -S '' -a open
  return 0
}
if [ "$funcstack[1]" = _wrenn ]; then _wrenn; else compdef _wrenn wrenn; fi
]]

SCRIPTS.fish = [[
function __wrenn_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (wrenn completion --words -- $words[2..-1] 2>/dev/null)
    switch $line
      case :file
        __fish_complete_path (commandline -ct)
      case :directory
        __fish_complete_directories (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c wrenn -f -a '(__wrenn_complete)'
]]

-- The part of a word that the shell takes for other words.
local function cut_of(word, breaks)
  local at = 0
  for i = 1, #word do
    local char = word:sub(i, i)
    if (char == ":" or char == "=") and breaks:find(char, 1, true) then
      at = i
    end
  end
  return word:sub(1, at)
end

local function answer(ctx, words, breaks)
  local completing = require("wrenn.cli.completing")
  local layout = require("wrenn.cli.layout")
  local found, word = completing.find(ctx, words)
  if breaks then
    ctx:print(":cut" .. cut_of(word, breaks))
  end
  for _, one in ipairs(found) do
    local about = one[2] and one[2] ~= "" and "\t" .. layout.plain(one[2]) or ""
    ctx:print(layout.plain(one[1]) .. about)
  end
end

local function run(ctx, args)
  if args.line then
    answer(ctx, require("wrenn.cli.completing").split(args.line), args.cut)
  elseif args.words then
    answer(ctx, args.operands)
  else
    local script = SCRIPTS[args.operands[1] or ""]
    if not script then
      ctx:misuse("SHELL: it is bash, zsh or fish, not '%s'",
        args.operands[1] or "")
    elseif args.operands[2] then
      ctx:misuse("'%s' is one operand too many", args.operands[2])
    end
    ctx:write(script)
  end
end

return {
  name = "completion",
  summary = "Prints a script that completes commands, ids and paths",
  operands = {
    { name = "SHELL", key = "operands", many = true, optional = true,
      choices = { "bash", "zsh", "fish" }, open = true },
  },
  options = {
    { "line", value = "LINE", help = "what the scripts call" },
    { "cut", value = "CHARACTERS", help = "with --line" },
    { "words", help = "what the scripts call" },
  },
  examples = {
    { 'eval "$(wrenn completion bash)"', "in ~/.bashrc" },
    { 'eval "$(wrenn completion zsh)"', "in ~/.zshrc, after compinit" },
    { "wrenn completion fish | source", "in config.fish" },
  },
  offline = true,
  run = run,
}
