#include <cstdio>

#include "cli/app.h"

namespace arrowport::cli {
namespace {

/// Names of a command's subcommands and flags, separated by spaces.
std::string WordsOf(const CLI::App& command) {
  std::string words;
  for (const CLI::App* below : command.get_subcommands({})) {
    if (!below->get_group().empty()) words += below->get_name() + " ";
  }
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  return words;
}

std::string BashScript(const CLI::App& app) {
  std::string cases;
  for (const CLI::App* command : app.get_subcommands({}))
    cases += "    " + command->get_name() + ") words=\"" + WordsOf(*command) + "\" ;;\n";
  return "_arrowport() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
         "  case \"${COMP_WORDS[1]}\" in\n" + cases +
         "  esac\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"" + WordsOf(app) + "\"; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  if [[ \"$current\" != -* && $COMP_CWORD -gt 1 ]]; then\n"
         "    COMPREPLY+=($(compgen -f -- \"$current\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _arrowport arrowport\n";
}

std::string FishScript(const CLI::App& app) {
  std::string script;
  for (const CLI::App* command : app.get_subcommands({})) {
    const std::string& name = command->get_name();
    script += "complete -c arrowport -n __fish_use_subcommand -a " + name + " -d '" +
              command->get_description() + "'\n";
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& flag : option->get_lnames()) {
        script += "complete -c arrowport -n '__fish_seen_subcommand_from " + name +
                  "' -l " + flag + "\n";
      }
    }
  }
  return script;
}

}  // namespace

void AddCompletion(CLI::App& app, Context& context) {
  CLI::App* completion = app.add_subcommand("completion", "Print a shell's completion");
  completion->require_subcommand(1);
  completion->add_subcommand("bash", "source <(arrowport completion bash)")
      ->callback([&app] { std::fputs(BashScript(app).c_str(), stdout); });
  completion->add_subcommand("zsh", "source <(arrowport completion zsh)")
      ->callback([&app] {
        const std::string script =
            "autoload -U +X bashcompinit && bashcompinit\n" + BashScript(app);
        std::fputs(script.c_str(), stdout);
      });
  completion->add_subcommand("fish", "arrowport completion fish | source")
      ->callback([&app] { std::fputs(FishScript(app).c_str(), stdout); });
}

}  // namespace arrowport::cli
